# The second stage on coco_mini with the true masks: what its network and schedule reach at most. docs/weak.md
_base_ = './supervised_mobilenetv2_1xb8-500_coco-mini-pseudo.py'
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='FolderSegDataset',
            data_root=_base_.data_root,
            images='images/train',
            masks='masks_voc21/train',
            classes='voc',
            pipeline=_base_.mask_pipeline)))
